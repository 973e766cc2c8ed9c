"""Whether this machine runs on its battery. Where the system does not tell, it does not.

Linux tells by files (https://www.kernel.org/doc/html/latest/power/power_supply_class.html), macOS and Windows by a call
each. Batteries of mice and keyboards do not count.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

SUPPLIES = Path("/sys/class/power_supply")  # one folder per supply: `type`, and `online` or `status`


def on_battery() -> bool:
    """Say whether the machine is powered by its own battery at the moment. Reads a few small files, or asks the system."""
    try:
        if sys.platform == "darwin":
            return _macos()
        if sys.platform == "win32":
            return _windows()
        return _discharging(SUPPLIES)
    except (OSError, AttributeError, ValueError):  # a call or a file that this system does not have
        return False


def _discharging(folder: Path) -> bool:
    """Say whether a battery of the machine is discharging while nothing from outside feeds it."""
    discharging = False
    for supply in sorted(folder.iterdir()) if folder.is_dir() else ():
        kind = _read(supply / "type")
        if kind == "Battery" and _read(supply / "scope") != "Device":
            discharging = discharging or _read(supply / "status") == "Discharging"
        elif kind in ("Mains", "USB", "Wireless") and _read(supply / "online") == "1":
            return False
    return discharging


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # not every supply has every file
        return ""


def _macos() -> bool:
    frameworks = "/System/Library/Frameworks/{0}.framework/{0}"
    power, core = (ctypes.CDLL(frameworks.format(name)) for name in ("IOKit", "CoreFoundation"))
    power.IOPSCopyPowerSourcesInfo.restype = ctypes.c_void_p
    power.IOPSGetProvidingPowerSourceType.restype = ctypes.c_void_p
    power.IOPSGetProvidingPowerSourceType.argtypes = [ctypes.c_void_p]
    core.CFStringGetCString.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_long, ctypes.c_uint32]
    core.CFRelease.argtypes = [ctypes.c_void_p]
    sources = power.IOPSCopyPowerSourcesInfo()
    if not sources:
        return False
    try:
        name = ctypes.create_string_buffer(64)
        source = power.IOPSGetProvidingPowerSourceType(sources)  # owned by `sources`
        utf8 = 0x08000100
        return bool(source and core.CFStringGetCString(source, name, 64, utf8)) and name.value == b"Battery Power"
    finally:
        core.CFRelease(sources)


def _windows() -> bool:
    if sys.platform == "win32":  # type checkers know `windll` only there
        status = ctypes.create_string_buffer(12)  # SYSTEM_POWER_STATUS; its first byte is ACLineStatus: 0 is "offline"
        return bool(ctypes.windll.kernel32.GetSystemPowerStatus(status)) and status.raw[0] == 0
    else:
        return False
