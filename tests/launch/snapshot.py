"""Prints, as JSON, what stands in a working folder: the digest of each output and the records without their times."""

import hashlib
import json
import sys
from pathlib import Path

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    outputs = [
        path for kind in ("images", "inputs", "kernels", "figures", "views") for path in folder.glob(f"{kind}/[!.]*")
    ]
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("records/[!.]*"))]
    found = {
        "outputs": {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in outputs},
        "records": {r["name"]: {k: v for k, v in r.items() if "seconds" not in k} for r in records},
        "states": len(list(folder.glob("state/*/?-*"))),
    }
    print(json.dumps(found))
    sys.exit(0)
