"""The one database of the pages, home/web.sqlite, through SQLAlchemy.

To keep another kind of thing in it (graphs, tokens, revisions of the configuration), write one
module of models beside web/people/users.py, with classes derived from `db.Model` that are used
inside `transaction()`, and add one step to the end of STEPS in web/migrations.py that makes their
tables: no more is needed.

SQLAlchemy takes 22 MB and a quarter of a second to load. So views import the modules of models
inside functions, where they are needed, and a server without accounts never loads this one.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from flask.globals import app_ctx
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, NullPool
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session

from web.migrations import connect, converted


class Base(DeclarativeBase):
    pass


# No models for `flask shell`, since Flask takes those before the first request only.
db = SQLAlchemy(model_class=Base, add_models_to_shell=False)
_binding = threading.Lock()


@contextmanager
def transaction() -> Iterator[Session]:
    """Give a session of the present application's database, and commit at the end.

    Objects that it returns are valid inside only. Transactions must not be nested.

    Raises:
        StoreError: the file cannot be used; nothing of the transaction is kept.
    """
    path = _bind(app_ctx.app)
    try:
        with db.session() as session:
            yield session
            session.commit()
    except (SQLAlchemyError, UnicodeDecodeError) as error:
        raise converted(getattr(error, "orig", None) or error, path) from error


def _bind(app: Flask) -> Path:
    """Bind the database to an application, if that has not been done; return the path of its file.

    Each transaction opens the file again, which takes less than 0.2 ms: a copy that was put back is
    used at once, a file that a newer JPH changed is refused at once, and there is nothing to close.
    """
    path: Path = app.config["DATABASE"]
    with _binding:
        if "sqlalchemy" not in app.extensions:
            app.config["SQLALCHEMY_DATABASE_URI"] = URL.create("sqlite", database=str(path))
            app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
                "creator": lambda: connect(path),
                "poolclass": NullPool,
            }
            db.init_app(app)
    return path
