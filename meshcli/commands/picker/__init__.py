"""The interactive table in which a person chooses views."""
