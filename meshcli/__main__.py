"""`python -m meshcli`."""

import sys

from meshcli.cli import main

sys.exit(main())
