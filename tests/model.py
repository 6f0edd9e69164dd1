"""A bucket as S3 says it is: versions in a list, the newest first, and nothing clever."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Version:
    """One version of an object, or a delete marker."""

    body: bytes = b""
    etag: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    is_held: bool = False
    is_marker: bool = False
    id: str = "null"


@dataclass
class Upload:
    """An upload that isn't completed."""

    key: str
    tags: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


class Bucket:
    """A bucket: `Off` until its versioning is set; object lock keeps it `Enabled`."""

    def __init__(self, name: str, *, has_lock: bool = False) -> None:
        self.name, self.has_lock = name, has_lock
        self.versioning = "Enabled" if has_lock else "Off"
        self.keys: dict[str, list[Version]] = {}
        self.uploads: dict[str, Upload] = {}

    def store(self, key: str, version: Version) -> None:
        """A new version becomes the current one. There is one null version at most."""
        versions = self.keys.setdefault(key, [])
        if version.id == "null":
            versions[:] = [one for one in versions if one.id != "null"]
        versions.insert(0, version)

    def hide(self, key: str, name: str) -> None:
        """A deletion that names no version."""
        if self.versioning == "Off":
            self.keys.pop(key, None)
        else:
            self.store(key, Version(is_marker=True, id=name))

    def remove(self, key: str, version: Version) -> None:
        """A deletion of one version."""
        self.keys[key].remove(version)
        if not self.keys[key]:
            del self.keys[key]

    def named(self, key: str, name: str | None) -> Version | None:
        """A version by its id, or else the newest."""
        versions = self.keys.get(key, [])
        return next((one for one in versions if name in (None, one.id)), None)

    def current(self, key: str) -> Version | None:
        """The newest version, unless it is a delete marker."""
        newest = self.named(key, None)
        return None if newest is None or newest.is_marker else newest

    def sorted_keys(self, prefix: str) -> list[str]:
        """In the order of listings."""
        return sorted((key for key in self.keys if key.startswith(prefix)), key=str.encode)

    def listed(self, prefix: str, delimiter: str | None) -> list[tuple[str, str | None]]:
        """Current objects with their ETags, and common prefixes."""
        there = [key for key in self.sorted_keys(prefix) if self.current(key)]
        return rolled_up([(key, self.keys[key][0].etag) for key in there], prefix, delimiter)

    def listed_versions(self, prefix: str, delimiter: str | None) -> dict[str, list[tuple]]:
        """Versions, delete markers, and common prefixes, each in their order."""
        lists: dict[str, list[tuple]] = {"Versions": [], "DeleteMarkers": [], "CommonPrefixes": []}
        for key in self.sorted_keys(prefix):
            (entry,) = rolled_up([(key, key)], prefix, delimiter)
            for version in self.keys[key]:
                if entry[1] is None:
                    if (entry[0],) not in lists["CommonPrefixes"]:
                        lists["CommonPrefixes"].append((entry[0],))
                    continue
                name = "DeleteMarkers" if version.is_marker else "Versions"
                lists[name].append((key, version.id, version is self.keys[key][0]))
        return lists

    def listed_uploads(self, prefix: str, delimiter: str | None) -> list[tuple[str, str | None]]:
        """Uploads, and common prefixes."""
        begun = [(one.key, name) for name, one in self.uploads.items() if one.key.startswith(prefix)]
        return rolled_up(sorted(begun, key=lambda one: one[0].encode()), prefix, delimiter)


def rolled_up(entries: list[tuple[str, str]], prefix: str, delimiter: str | None) -> list[tuple[str, str | None]]:
    """What has the delimiter behind the prefix is one entry, up to the delimiter."""
    found: list[tuple[str, str | None]] = []
    for key, value in entries:
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        entry: tuple[str, str | None] = (key, value) if at < 0 else (key[: at + len(delimiter or "")], None)
        if at < 0 or entry not in found:
            found.append(entry)
    return found
