"""A log of mappings through any set of schemes: compiled, or in plain Python with the same result, with exact costs."""
