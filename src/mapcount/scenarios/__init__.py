"""Scenarios: short texts of what processes do to their mappings, and what is seen after each step."""
