"""Picture files, and the object cut out of its background."""
