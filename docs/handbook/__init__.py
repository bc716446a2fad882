"""What the handbook's pages are made of beside their text: pictures, the commands, the tables of the code."""
