"""Backups in a bucket: S3's own protocol against a local server, conditional creation included."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from ledger.values import new_id
from runners.backup import catalog
from runners.backup.place import Place
from runners.errors import NoBackup, PlaceTaken, PlaceUnusable
from tests.support.backups import Claiming, backed_up, contents, restored
from tests.support.ledgers import open_ledger
from tests.support.servers import Database, PostgresServer


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket; who may use it is in the environment, as with any S3 client."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"backups-{new_id()}"  # the server keeps its buckets for as long as this process lives
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=name)
    yield f"s3://{name}/everline"
    server.stop()


async def test_a_bucket_takes_backups_and_gives_them_back(
    bucket: str, database: Database, postgres: PostgresServer
) -> None:
    async with open_ledger(database.app_dsn) as ledger:
        workspace = Claiming(ledger.appender, new_id())
        await workspace.act(20)
        first = backed_up(database, bucket)
        await workspace.act(3)
        second = backed_up(database, bucket)
    assert second.events_added < first.events_added
    assert catalog.numbers(Place(bucket)) == [1, 2]
    target = postgres.create_database()
    restored(bucket, target)
    assert contents(target, workspace.workspace_id) == contents(database, workspace.workspace_id)
    postgres.drop_database(target.name)


def test_a_number_is_given_out_once(bucket: str) -> None:
    place = Place(bucket)
    place.create("backups/00000001.json", b"first")
    with pytest.raises(PlaceTaken):
        place.create("backups/00000001.json", b"second")
    assert place.get("backups/00000001.json") == b"first"


def test_an_empty_bucket_and_one_that_does_not_exist_are_told_apart(bucket: str) -> None:
    with pytest.raises(NoBackup):
        catalog.load(Place(bucket))
    with pytest.raises(PlaceUnusable):
        catalog.load(Place("s3://nobody-made-this/x"))
