"""Weight files: catalogue, search, download, conversion and reading; and the device to compute on."""
