"""The full-screen picker: a table of the views with pictures, from which the user selects on a terminal."""
