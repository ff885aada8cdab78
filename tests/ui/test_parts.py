"""Addresses of files that a manifest names as it likes."""

import pytest

pytest.importorskip("nicegui", reason="needs the extra ui")


@pytest.mark.parametrize(
    ("file", "address"),
    [
        ("photos/a.png", "/project/picture/photos/a.png?side=96&v=7"),
        ('photos/"><img>.png', "/project/picture/photos/%22%3E%3Cimg%3E.png?side=96&v=7"),
        ("views/50%?#.png", "/project/picture/views/50%25%3F%23.png?side=96&v=7"),
        ("views/椅子 '.png", "/project/picture/views/%E6%A4%85%E5%AD%90%20%27.png?side=96&v=7"),
    ],
)
def test_an_address_holds_nothing_that_html_or_a_url_would_read(file: str, address: str) -> None:
    from meshcli.ui.parts import picture_address

    assert picture_address(file, 96, 7) == address
