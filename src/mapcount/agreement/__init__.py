"""Two machines after the same steps: what differs, the shortest scenario that shows it, what was covered, golden traces."""
