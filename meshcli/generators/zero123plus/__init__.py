"""Zero123++ v1.2 (Shi et al. 2023): loading its networks, sampling six views of a photo, cutting the sheet up."""
