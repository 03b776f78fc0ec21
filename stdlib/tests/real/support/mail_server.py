"""A mail server for tests: STARTTLS or TLS from the start, logins, and refusals by the receiver's name.

Prints nothing; every accepted mail becomes one JSON line in the file given. Receivers named `nobody` are
refused for good, `later` for now; a mail to `lost` is written down and then never answered.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

port, mails, certificate, key, security = sys.argv[1:]


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        if name == "nobody":
            return "550 5.1.1 no such mailbox"
        if name == "later":
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        line = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.content.decode(),
            "secure": session.ssl is not None or security == "implicit",
            "login": bool(session.authenticated),
        }
        with open(mails, "a") as file:
            file.write(json.dumps(line) + "\n")
        if any(address.startswith("lost@") for address in envelope.rcpt_tos):
            server.transport.abort()
        return "250 OK"


def login(server, session, envelope, mechanism, data):
    welcome = (data.login, data.password) == (b"aegis", b"correct horse")
    return AuthResult(success=welcome, handled=False)


async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    starttls = security == "starttls"

    def session():
        return SMTP(
            Handler(),
            authenticator=login,
            auth_required=security != "plain",
            auth_require_tls=starttls,
            tls_context=context if starttls else None,
            require_starttls=starttls,
            hostname="localhost",
        )

    implicit = context if security == "implicit" else None
    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", int(port), ssl=implicit)
    await server.serve_forever()


asyncio.run(main())
