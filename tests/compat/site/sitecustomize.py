"""Does for interpreters that tests start what the wheel's .pth file does for those of an installed package."""

from kvcached_client.compat import install

install()
