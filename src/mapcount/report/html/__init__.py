"""Pages for a browser: records in, the text of one self-contained HTML file out."""
