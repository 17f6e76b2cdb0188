"""One Anaplan tenant: its users, connections, integrations, flows, and what is in its models."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from local.cloudworks.json_shapes import Job, Step

Role = Literal["Restricted Integration User", "Integration Admin"]
Kind = Literal["Import", "Export", "Process"]

MAX_INTEGRATIONS = 500
"""How many integrations and flows a tenant may have together."""


class User(Struct, frozen=True, kw_only=True):
    """Someone who may log in."""

    name: str
    """The log-in name, an address."""
    display_name: str
    """What `createdBy` and `triggeredBy` show."""
    password: str | None = None
    """None: cannot log in with a password."""
    certificate: str | None = None
    """PEM; None: cannot log in with a certificate."""
    role: Role | None = "Restricted Integration User"
    """None: every CloudWorks call is refused."""
    workspaces: frozenset[str] = frozenset()
    """What a restricted user reaches; an admin reaches all."""
    guid: str = "0" * 32

    def __repr__(self) -> str:
        """Without password and certificate."""
        return f"User(name={self.name!r}, role={self.role!r})"


class OAuthClient(Struct, frozen=True, kw_only=True):
    """An application that users may grant tokens to, as Anaplan's Administration shows it."""

    id: str
    grant: Literal["device", "code"] = "device"
    secret: str | None = None
    """Clients for the authorization code grant have one."""
    rotates: bool = False
    """Whether each use of a refresh token gives another and ends the old one."""
    refresh_seconds: float = 43_000
    """How long one of these lives if it is not used."""

    def __repr__(self) -> str:
        """Without the secret."""
        return f"OAuthClient(id={self.id!r}, rotates={self.rotates!r})"


class Owned(Struct, frozen=True, kw_only=True):
    """What every stored object knows about its past; times are epoch seconds."""

    id: str
    name: str
    created_by: str
    modified_by: str
    owner_role: Role
    created_at: float
    modified_at: float


class Connection(Owned, frozen=True, kw_only=True):
    """A connection to one S3 bucket. Its secret is checked and then forgotten: no answer ever shows it."""

    bucket: str
    role_arn: str | None = None
    workspace_id: str | None = None
    error_code: int | None = None
    """Set while broken: 1 bad credentials, 4 bad bucket, 10 assume-role failed, 46 anything else."""


class Integration(Owned, frozen=True, kw_only=True):
    """An import, an export or a process."""

    version: str
    workspace_id: str
    model_id: str
    process_id: str | None
    nux_visible: bool
    notification_id: str
    jobs: tuple[Job, ...]

    @property
    def kind(self) -> Kind:
        """What `integrationType` shows."""
        if self.process_id is not None:
            return "Process"
        return "Import" if self.jobs[0].type.endswith("ToAnaplan") else "Export"

    @property
    def connection_ids(self) -> set[str]:
        """The connections that its jobs name."""
        ends = (end for job in self.jobs for end in (*job.sources, *job.targets))
        return {end.connection_id for end in ends if isinstance(end.connection_id, str)}


class Flow(Owned, frozen=True, kw_only=True):
    """Integrations to be run one after another."""

    version: str
    nux_visible: bool
    steps: tuple[Step, ...]


class Tenant(Struct, kw_only=True):
    """All that is stored; who changes it must hold the simulator's lock."""

    users: dict[str, User] = field(default_factory=dict)
    """By log-in name."""
    clients: dict[str, OAuthClient] = field(default_factory=dict)
    """By their ids."""
    connections: dict[str, Connection] = field(default_factory=dict)
    integrations: dict[str, Integration] = field(default_factory=dict)
    flows: dict[str, Flow] = field(default_factory=dict)
    models: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    """Model id to code to row (column to cell): the latest imported row of each code."""
    action_names: dict[str, str] = field(default_factory=dict)

    def action_name(self, action_id: str) -> str:
        """An action's name, made up where nobody gave it one."""
        return self.action_names.get(action_id, f"Action {action_id}")


def reaches(user: User, owner_role: Role, workspace_id: str | None) -> bool:
    """Whether a user sees an object: neither role sees the other's, and restricted users see their workspaces alone."""
    if user.role != owner_role:
        return False
    return user.role == "Integration Admin" or workspace_id in user.workspaces
