"""Ways of counting: one accounting design per file, the operations they may use, their catalogue and their test."""
