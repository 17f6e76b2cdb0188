"""`connections`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from local.cloudworks import WORKSPACE_ID
from tests.cli_tenant import ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, CliTenant, empty_tenant


@pytest.fixture
def tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliTenant]:
    monkeypatch.chdir(tmp_path)
    with empty_tenant() as made:
        yield made


def profile(tmp_path: Path, name: str, key: str, secret: str, token: str = "") -> dict[str, str | None]:
    """A profile of the AWS configuration, and the environment that leads to it alone."""
    file = tmp_path / "credentials"
    token = f"aws_session_token = {token}\n" if token else ""
    file.write_text(f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n{token}")
    return {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


def create(tenant: CliTenant, *arguments: str, **changes: str | None) -> tuple[int, str]:
    said = tenant.run("connections", "create", "--name", "inbox", "--bucket", BUCKET, *arguments, **changes)
    assert SECRET_ACCESS_KEY not in said.out + said.err
    assert ACCESS_KEY_ID not in said.out + said.err
    return said.code, said.err


def test_a_new_connection_is_listed_shown_and_works(tenant: CliTenant) -> None:
    connection_id = tenant.connect()
    (listed,) = tenant.run("connections", "list", "--json").json
    assert listed["id"] == connection_id
    assert (listed["name"], listed["bucket"], listed["state"]) == (BUCKET, BUCKET, "ok")
    assert tenant.run("connections", "show", connection_id, "--json").json == listed
    assert tenant.run("connections", "check", BUCKET).code == 0


def test_keys_of_the_environment_are_handed_over_only_after_consent(tenant: CliTenant) -> None:
    code, said = create(tenant)
    assert code == 1
    assert f"…{ACCESS_KEY_ID[-4:]}" in said
    assert "Add --yes" in said
    assert tenant.simulator.tenant.connections == {}


def test_keys_of_a_named_profile_need_no_agreement(tenant: CliTenant, tmp_path: Path) -> None:
    environment = profile(tmp_path, "cloudworks", ACCESS_KEY_ID, SECRET_ACCESS_KEY)
    assert create(tenant, "--keys-from", "cloudworks", **environment)[0] == 0


def test_a_profile_that_does_not_exist_is_named(tenant: CliTenant) -> None:
    code, said = create(tenant, "--keys-from", "nowhere")
    assert code == 1
    assert "nowhere" in said


def test_temporary_keys_are_refused_with_the_reason(tenant: CliTenant) -> None:
    code, said = create(tenant, "--yes", AWS_SESSION_TOKEN="a-token-of-an-hour")
    assert code == 1
    assert "temporary" in said
    assert "--keys-from" in said
    assert "a-token-of-an-hour" not in said


def test_a_restricted_user_is_told_to_name_the_workspace(tenant: CliTenant) -> None:
    code, said = create(tenant, "--yes", ANAPLAN_WORKSPACE_ID=None)
    assert code == 1
    assert 'Answered: 400 Bad Request "Invalid value for workspace_id"' in said
    assert "--workspace" in said
    assert create(tenant, "--yes", "--workspace", WORKSPACE_ID, ANAPLAN_WORKSPACE_ID=None)[0] == 0


def test_what_cloudworks_finds_wrong_comes_with_its_remedy(tenant: CliTenant) -> None:
    tenant.connect()
    taken = tenant.run("--yes", "connections", "create", "--name", BUCKET, "--bucket", BUCKET)
    tenant.simulator.settings.denied_buckets.add("locked")
    denied = tenant.run("--yes", "connections", "create", "--name", "other", "--bucket", "locked")
    wrong_key = tenant.run(
        "--yes", "connections", "create", "--name", "third", "--bucket", BUCKET, AWS_SECRET_ACCESS_KEY="not-this-one"
    )
    assert "The name is taken" in taken.err
    assert "connections policy" in denied.err
    assert "Check that the AWS keys are active" in wrong_key.err
    assert "not-this-one" not in wrong_key.err


def test_an_update_keeps_what_is_not_named_and_sends_the_keys_again(tenant: CliTenant) -> None:
    tenant.connect()
    said = tenant.run("--yes", "connections", "update", BUCKET, "--name", "renamed")
    assert said.code == 0, said.err
    (connection,) = tenant.simulator.tenant.connections.values()
    assert (connection.name, connection.bucket, connection.workspace_id) == ("renamed", BUCKET, WORKSPACE_ID)


def test_a_broken_connection_fails_the_check_with_its_remedy(tenant: CliTenant) -> None:
    connection_id = tenant.connect()
    broken = tenant.simulator.tenant.connections[connection_id]
    tenant.simulator.add_connection(replace(broken, error_code=1))
    said = tenant.run("connections", "check", BUCKET)
    assert said.code == 1
    assert "connections update" in said.err


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(1, "AWS keys"), (4, "bucket does not exist"), (10, "trust policy"), (46, "does not say why"), (77, "code 77")],
)
def test_a_list_explains_why_a_connection_does_not_work(tenant: CliTenant, code: int, remedy: str) -> None:
    connection_id = tenant.connect()
    broken = tenant.simulator.tenant.connections[connection_id]
    tenant.simulator.add_connection(replace(broken, error_code=code))
    said = tenant.run("connections", "list")
    assert said.code == 0
    assert remedy in said.err
    (listed,) = tenant.run("connections", "list", "--json").json
    assert (listed["state"], listed["error_code"]) == ("broken", code)
    assert remedy in listed["trouble"]


def test_deleting_asks_and_refuses_what_is_used(tenant: CliTenant) -> None:
    tenant.connect()
    unasked = tenant.run("connections", "delete", BUCKET)
    tenant.integrate("Accounts", "source/Accounts.csv")
    used = tenant.run("connections", "delete", BUCKET, "--yes")
    assert tenant.run("integrations", "delete", "Accounts", "--yes").code == 0
    unused = tenant.run("connections", "delete", BUCKET, "--yes")
    assert (unasked.code, used.code, unused.code) == (1, 1, 0)
    assert "Add --yes" in unasked.err
    assert "Something still uses it" in used.err
    assert tenant.simulator.tenant.connections == {}


def test_the_policy_reads_the_prefixes_alone(tenant: CliTenant) -> None:
    said = tenant.run("connections", "policy", "--bucket", BUCKET, "--prefix", "source/", "--prefix", "more/")
    find, listing, reading = json.loads(said.out)["Statement"]
    assert find["Action"] == "s3:GetBucketLocation"
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["source/*", "more/*"]}}
    assert reading["Action"] == "s3:GetObject"
    assert reading["Resource"] == [f"arn:aws:s3:::{BUCKET}/source/*", f"arn:aws:s3:::{BUCKET}/more/*"]
    assert "inferred" in said.err


@pytest.mark.parametrize(
    "bucket", ["", "*", "a b", "s3://finance-inbox", "arn:aws:s3:::finance-inbox", "finance-inbox/source"]
)
@pytest.mark.parametrize("words", ["policy", "create --name x --keys-from y", "update x"])
def test_a_bucket_with_an_invalid_name_is_refused(tenant: CliTenant, words: str, bucket: str) -> None:
    said = tenant.run("--yes", "connections", *words.split(), "--bucket", bucket)

    assert said.code == 2 and "is not a bucket name" in " ".join(said.err.replace("│", " ").split())


def test_the_policy_takes_a_prefix_literally(tenant: CliTenant) -> None:
    said = tenant.run("connections", "policy", "--bucket", BUCKET, "--prefix", "in*/${x}?")

    assert said.json["Statement"][2]["Resource"] == [f"arn:aws:s3:::{BUCKET}/in${{*}}/${{$}}{{x}}${{?}}*"]


def test_the_policy_for_exports_writes_too(tenant: CliTenant) -> None:
    said = tenant.run("connections", "policy", "--bucket", BUCKET, "--export")
    _, listing, writing = json.loads(said.out)["Statement"]
    assert "Condition" not in listing
    assert writing["Action"] == ["s3:GetObject", "s3:PutObject"]
    assert writing["Resource"] == [f"arn:aws:s3:::{BUCKET}/*"]
