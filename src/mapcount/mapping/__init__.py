"""The truth: who maps what, as columnar tables, and the store that keeps them."""
