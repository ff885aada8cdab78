"""From which side, and how large: photos compared with each other."""
