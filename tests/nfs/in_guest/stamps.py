"""stamps.py FILE TABLE: prints how many commits the stamps of each row count, as a JSON list. Needs h5py."""

import json
import sys

sys.path.insert(0, "/h5py")
import h5py

with h5py.File(sys.argv[1], "r", locking=False) as store:
    number = store[sys.argv[2]].attrs["h5part_table"]
    # See "Stamp" in docs/design/formats.md: 24 bits above the state.
    print(json.dumps([(int(stamp) >> 8) & 0xFFFFFF for stamp in store[f"__h5part__/{number}"][:, 0]]))
