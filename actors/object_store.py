"""Object storage as a store: S3, Google, Azure and what speaks like them, through obstore.

Credentials and endpoints come from the environment, as its documentation has them (AWS_...).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore, from_url

from actors.disk import OsDisk
from actors.store import FolderStore, Store

ANSWER_S = 20.0  # of one request; a part of 32 MiB at 16 Mbit/s
RETRIES, RETRY_S = 3, 30.0


def open_store(url: str) -> Store:
    """Return the store that `url` names: file:///a/folder, s3://bucket/prefix and the like.

    Raises OSError if what it needs is not in the environment.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FolderStore(OsDisk(), Path(parts.path))
    # Plain HTTP only where the endpoint that somebody set says so, as a store of one's own does.
    options = {"timeout": timedelta(seconds=ANSWER_S), "allow_http": True}
    retry = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_S)}
    # Typed by the scheme of the url, which is not known here.
    try:
        bucket = from_url(url, client_options=options, retry_config=retry)  # type: ignore[call-overload]
    except BaseError as e:
        raise OSError(f"{url} cannot be opened: {_line(e)}") from e
    return BucketStore(url, bucket)


class BucketStore:
    """Objects of a bucket. A repeated create may find its own object: compare, then."""

    def __init__(self, url: str, bucket: ObjectStore) -> None:
        self.url = url
        self._bucket = bucket

    def names(self, place: str) -> list[str]:
        try:
            found = obstore.list_with_delimiter(self._bucket, place)["objects"]
        except BaseError as e:
            raise OSError(f"{self.url} does not list {place}: {_line(e)}") from e
        return [meta["path"].rpartition("/")[2] for meta in found]

    def read(self, name: str) -> bytes:
        try:
            return obstore.get(self._bucket, name).bytes().to_bytes()
        except FileNotFoundError:
            raise
        except BaseError as e:
            raise OSError(f"{self.url} does not give {name}: {_line(e)}") from e

    def create(self, name: str, content: bytes) -> bool:
        try:
            obstore.put(self._bucket, name, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except BaseError as e:
            raise OSError(f"{self.url} does not take {name}: {_line(e)}") from e
        return True

    def remove(self, name: str) -> None:
        try:
            obstore.delete(self._bucket, name)
        except FileNotFoundError:
            return
        except BaseError as e:
            raise OSError(f"{self.url} does not remove {name}: {_line(e)}") from e


def _line(e: BaseException) -> str:
    return str(e).partition("\n")[0]
