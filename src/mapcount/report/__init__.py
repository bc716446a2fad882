"""Data in, text out: terminal tables and JSON."""
