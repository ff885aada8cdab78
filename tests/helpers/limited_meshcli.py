"""`meshcli` under a limit of its data segment: python tests/helpers/limited_meshcli.py MEGABYTES ARGUMENTS.

Linux counts every private writable page that is mapped. The reconstruction networks are those of tiny_lrm.py.
"""

import resource
import sys

MEGABYTE = 1 << 20

if __name__ == "__main__":
    limit = int(sys.argv[1]) * MEGABYTE
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    del sys.argv[1]
    if "instant-mesh-large" in sys.argv:
        from meshcli.lrm.sizes import Sizes, VitSizes
        from meshcli.reconstructors.network_file import NetworkFile
        from meshcli.stages import networks

        # Those of tiny_lrm.py, which would load torch into the process that is only to look after the other.
        vit = VitSizes(hidden=32, layers=1, heads=2, inner=64, patch=64, image=320)
        sizes = Sizes("mesh", 32, 1, 2, 6, 12, 4, 16, grid_res=20, grid_scale=2.1, encoder_feat_dim=32, vit=vit)
        networks.read_network = lambda name: NetworkFile(sizes, 96, 0.0, "")
    from meshcli.commands.cli import main

    sys.exit(main())
