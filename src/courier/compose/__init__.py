"""From conf/, the command line and the environment to one RunConfig. The only package that knows Hydra.

loading.py  composes, and tells what Hydra refuses
typed.py    one group as its dataclass, which refuses wrong types and values
written.py  what Hydra would ignore or change, in the files and arguments as they are written
groups.py   the groups and their schemas
"""

from courier.compose.groups import GROUPS
from courier.compose.loading import conf_folder, load, load_shown, load_state

__all__ = ["GROUPS", "conf_folder", "load", "load_shown", "load_state"]
