"""The database as the engine sees it: a store for each of its ports."""

from letta_grpc.adapters.sql.agent_files import SqlAgentImporter
from letta_grpc.adapters.sql.agents import SqlAgentStore
from letta_grpc.adapters.sql.blocks import SqlBlockStore
from letta_grpc.adapters.sql.callbacks import SqlCallbackStore
from letta_grpc.adapters.sql.conversations import SqlConversationStore
from letta_grpc.adapters.sql.history import SqlHistoryStore
from letta_grpc.adapters.sql.mcp_servers import SqlMcpServerStore
from letta_grpc.adapters.sql.memory import SqlMemoryStore
from letta_grpc.adapters.sql.message_search import SqlMessageSearch
from letta_grpc.adapters.sql.open_database import OpenDatabase
from letta_grpc.adapters.sql.passages import SqlPassageStore
from letta_grpc.adapters.sql.runs import SqlRunStore
from letta_grpc.adapters.sql.steps import SqlStepStore
from letta_grpc.adapters.sql.tools import SqlAgentTools, SqlToolStore


class Stores:
    """All of them over one database."""

    def __init__(self, database: OpenDatabase) -> None:
        self.agents = SqlAgentStore(database)
        self.agent_files = SqlAgentImporter(database)
        self.agent_tools = SqlAgentTools(database)
        self.blocks = SqlBlockStore(database)
        self.callbacks = SqlCallbackStore(database)
        self.conversations = SqlConversationStore(database)
        self.history = SqlHistoryStore(database)
        self.mcp_servers = SqlMcpServerStore(database)
        self.memory = SqlMemoryStore(database)
        self.messages = SqlMessageSearch(database)
        self.passages = SqlPassageStore(database)
        self.runs = SqlRunStore(database)
        self.steps = SqlStepStore(database)
        self.tools = SqlToolStore(database)
        self.journal = database.journal
        self.log = database.log
