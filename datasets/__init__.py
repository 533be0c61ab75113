"""Sound into labelled arrays: music, rooms, scenes, rendering and the shards that hold the result."""

import os
import runpy

# By its path, since `runtime` itself may be shadowed.
runpy.run_path(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "runtime", "import_path.py"))[
    "arrange_import_path"
]()
