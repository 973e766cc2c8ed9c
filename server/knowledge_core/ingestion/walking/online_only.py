"""Files whose content lies with a cloud service alone: opening one would download it. They are not opened, but counted."""

from __future__ import annotations

import os

_OFFLINE, _RECALL_ON_OPEN, _RECALL_ON_ACCESS = 0x1000, 0x40000, 0x400000  # FILE_ATTRIBUTE_... of Windows
_DATALESS = 0x40000000  # SF_DATALESS of macOS


def is_online_only(about: os.stat_result, name: str) -> bool:
    """Say whether a file's content lies with a cloud service alone, so that opening it would download it.

    Windows marks such files (OneDrive, Dropbox, iCloud) by attributes, macOS by a flag; before macOS 14 iCloud left a
    hidden file ".name.icloud" in the place of each.
    """
    recalled = getattr(about, "st_file_attributes", 0) & (_OFFLINE | _RECALL_ON_OPEN | _RECALL_ON_ACCESS)
    return bool(recalled or getattr(about, "st_flags", 0) & _DATALESS) or (name[:1] == "." and name.endswith(".icloud"))
