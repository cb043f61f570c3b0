"""One settings model for every process of a node; read from the environment with the prefix `PILOTMESH_`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SERVICES = ("registry", "matching", "metrics", "notifier", "mesh")


class Settings(BaseSettings):
    """What an operator may set. Every default works on one machine with nothing installed but Python."""

    model_config = SettingsConfigDict(env_prefix="PILOTMESH_", extra="ignore", frozen=True)

    home: Path = Field(Path(".pilotmesh"), description="Keys, tokens, logs and the embedded servers' data.")
    host: str = Field("127.0.0.1", description="Address the node listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the node listens on.")
    public_url: str | None = Field(None, description="How people and other nodes reach this node, if not host:port.")
    api_url: str | None = Field(None, description="Where the pages reach this node's API, if not host:port.")

    mongodb_uri: str | None = Field(None, description="MongoDB to use; without it an embedded server is started.")
    nats_url: str | None = Field(
        None, description="NATS to use (a cluster's servers with commas between); without it a server is started."
    )
    nats_user: str | None = Field(None, description="NATS user; without it the one made for each service.")
    nats_password: str | None = Field(None, description="Password of `PILOTMESH_NATS_USER`.")
    nats_domain: str = Field("node", description="JetStream domain, one's own; a member's or hub's is in mesh.json.")
    database_prefix: str = Field("pilotmesh", description="Databases are <prefix>_ledger, <prefix>_registry, …")

    stream_max_age_days: int = Field(90, ge=1, description="How long JetStream keeps facts; the store is the record.")
    stream_replicas: int = Field(1, ge=1, le=5, description="Servers that hold each stream, in a NATS cluster: 3.")
    stream_max_bytes: int = Field(8 * 2**30, ge=2**20, description="Bytes per stream.")

    group_commit_max: int = Field(256, ge=1, le=1000, description="Facts per journaled insert.")
    lease_seconds: float = Field(3.0, gt=0, description="A follower's lease; another replica takes over after it.")
    poll_seconds: float = Field(1.0, gt=0, description="How often a follower looks at the store without news.")
    heads_seconds: float = Field(5.0, gt=0, description="How often nodes exchange signed heads of their ledgers.")
    quota_facts: int = Field(
        200_000, ge=1, description="Facts of one agency that a hub takes in at full speed per day."
    )
    quota_bytes: int = Field(512 * 2**20, ge=2**20, description="Bytes of one agency's facts, likewise.")
    quota_stream_share: float = Field(
        0.125, gt=0, le=1, description="Share of `PILOTMESH_STREAM_MAX_BYTES` that facts of one agency may fill."
    )
    max_body_bytes: int = Field(8 * 2**20, description="Largest request body; a single fact is at most 256 KiB.")

    small_cell: int = Field(10, ge=2, description="Default threshold (people) below which a figure is suppressed.")
    invitation_days: int = Field(21, ge=1, description="Days until silence on an invitation is a no.")
    open_invitations: int = Field(5, ge=1, description="Open invitations per agency; the rest wait, ranked.")
    release: str = Field("lead", pattern="^(lead|auto)$", description="Who releases a proposal to the invited.")

    webhook_allow_private: bool = Field(False, description="Let webhooks go to loopback and private addresses.")
    otlp_endpoint: str | None = Field(None, description="OTLP/HTTP endpoint for traces; nothing is sent without it.")
    log_level: str = Field("INFO", description="What goes to the log, from DEBUG to ERROR.")

    @model_validator(mode="before")
    @classmethod
    def _domain_of_the_node(cls, given: Any) -> Any:
        """A node that joined a mesh, or became a hub, keeps the domain that others know it by."""
        if isinstance(given, dict) and not given.get("nats_domain"):
            home = Path(given.get("home") or cls.model_fields["home"].default).expanduser()
            try:
                fixed = json.loads((home / "mesh.json").read_text()).get("domain")
            except (OSError, ValueError, AttributeError):  # whoever needs the file says what is wrong with it
                fixed = None
            told = {name: value for name, value in given.items() if name != "nats_domain"}  # empty is not set
            return {**told, "nats_domain": fixed} if fixed else told
        return given

    @property
    def url(self) -> str:
        """Where this node's API is reached, without a trailing slash."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def nats_servers(self) -> list[str]:
        """Addresses of the node's NATS server, or of every server of its cluster."""
        named = [one.strip() for one in (self.nats_url or "").split(",")]
        return [one for one in named if one] or ["nats://127.0.0.1:4222"]

    def database(self, service: str) -> str:
        return f"{self.database_prefix}_{service}"

    def nats_login(self, service: str) -> tuple[str | None, str | None]:
        """User and password for `service`: as set, else as generated for this node under <home>/nats/users.json."""
        if self.nats_user is not None:
            return self.nats_user, self.nats_password
        users = self.home / "nats" / "users.json"
        if not users.exists():
            return None, None
        return service, json.loads(users.read_text())[service]
