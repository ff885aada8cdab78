"""Networks' files: which there are, where they lie, download, conversion, reading; and the device they compute on."""
