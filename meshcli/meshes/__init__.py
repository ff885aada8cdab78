"""Triangle meshes: rays against them, colours and textures on them."""
