"""An account that slixmpp logs in, led by JSON lines: `slixmpp_account.py HOST PORT JID PASSWORD`.

Each line of the standard input asks for one thing: {"id": 1, "do": "publish", "with": {"service": ..., ...}}. What becomes
of it is a line of the standard output: {"id": 1, "result": ...}, or {"id": 1, "error": {...}} with the conditions of an
answer of type error. {"event": ...} is what a notification says, {"ready": JID} the beginning. The end of the input is the
end of the program.

Answers and events are read by slixmpp's own interfaces alone: what it does not understand is not told.
"""

import asyncio
import json
import os
import sys

# Before slixmpp is there: what it prints must not come between the lines.
LINES = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.plugins.xep_0004 import Form
from slixmpp.xmlstream import ET, ElementBase, register_stanza_plugin
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

# For one answer, in seconds: far longer than any takes.
DEADLINE = 20


def tell(line):
    LINES.write(json.dumps(line) + "\n")


def form_of(fields):
    """A submitted form (XEP-0004); the plugin adds its FORM_TYPE where it knows which."""
    form = Form()
    form["type"] = "submit"
    for name, value in fields.items():
        form.add_field(var=name, value=value)
    return form


def fields_of(form):
    return {name: field["value"] for name, field in form.get_fields().items()}


def payload_of(item):
    payload = item["payload"]
    return None if payload is None else {"name": payload.tag, "text": payload.text}


def items_of(items):
    return [{"id": item["id"], "payload": payload_of(item)} for item in items["substanzas"]]


def change_of(item):
    if item.name == "retract":
        return {"retracted": item["id"]}
    return {"published": item["id"], "payload": payload_of(item)}


def subscription_of(one):
    told = {"jid": str(one["jid"]), "subscription": one["subscription"]}
    if one["subid"]:
        told["subid"] = one["subid"]
    return told


class Account(ClientXMPP):
    def __init__(self, jid, password):
        super().__init__(jid, password)
        for plugin in ("xep_0030", "xep_0004", "xep_0059", "xep_0060", "xep_0115", "xep_0131", "xep_0163"):
            self.register_plugin(plugin)
        # These build on personal eventing; each is interested in its own node from the login on.
        for plugin in ("xep_0084", "xep_0118", "xep_0172"):
            self.register_plugin(plugin)
        self.pubsub = self["xep_0060"]
        self.eventing = self["xep_0163"]
        # Pages of items: the plugin leaves it to its user.
        register_stanza_plugin(self.pubsub.stanza.Pubsub, self["xep_0059"].stanza.Set)
        self.add_event_handler("session_start", self.ready)
        self.add_event_handler("failed_all_auth", lambda _: sys.exit("the server does not let the account in"))
        # The plugin's own events of items are one for each item, and none where a message of several items has a language, which
        # Prosody stamps on each: there it fails.
        items = Callback("Items of an event", StanzaPath("message/pubsub_event/items"), self.items_event)
        self.register_handler(items)
        for kind in ("purge", "delete", "config", "subscription"):
            self.add_event_handler("pubsub_" + kind, getattr(self, kind + "_event"))
        self.add_event_handler("user_tune_publish", self.tune_event)
        self.add_event_handler("user_nick_publish", self.nick_event)
        self.add_event_handler("avatar_metadata_publish", self.avatar_event)

    async def ready(self, _):
        # Only who has asked for the roster is told of subscriptions to presence (RFC 6121, section 2.1.6).
        await self.get_roster(timeout=DEADLINE)
        await self.appear()
        tell({"ready": str(self.boundjid)})

    # Requests: each takes what is in "with", and gives what is told as "result".

    async def create(self, service, node=None, config=None):
        form = form_of(config) if config is not None else None
        answer = await self.pubsub.create_node(service, node, config=form, timeout=DEADLINE)
        return answer["pubsub"]["create"]["node"] or node

    async def configuration(self, service, node=None):
        answer = await self.pubsub.get_node_config(service, node, timeout=DEADLINE)
        part = "default" if node is None else "configure"
        return fields_of(answer["pubsub_owner"][part]["form"])

    async def configure(self, service, node, config):
        form = form_of({"FORM_TYPE": "http://jabber.org/protocol/pubsub#node_config", **config})
        await self.pubsub.set_node_config(service, node, form, timeout=DEADLINE)

    async def delete(self, service, node):
        await self.pubsub.delete_node(service, node, timeout=DEADLINE)

    async def purge(self, service, node):
        await self.pubsub.purge(service, node, timeout=DEADLINE)

    async def subscribe(self, service, node, bare=True, options=None):
        form = None
        if options is not None:
            form = form_of({"FORM_TYPE": "http://jabber.org/protocol/pubsub#subscribe_options", **options})
        answer = await self.pubsub.subscribe(service, node, bare=bare, options=form, timeout=DEADLINE)
        subscription = answer["pubsub"]["subscription"]
        return subscription_of(subscription)

    async def unsubscribe(self, service, node, bare=True, subid=None):
        await self.pubsub.unsubscribe(service, node, subid=subid, bare=bare, timeout=DEADLINE)

    async def subscriptions(self, service, node=None):
        answer = await self.pubsub.get_subscriptions(service, node, timeout=DEADLINE)
        found = answer["pubsub"]["subscriptions"]["substanzas"]
        return [{"node": one["node"] or node, **subscription_of(one)} for one in found]

    async def options(self, service, node):
        answer = await self.pubsub.get_subscription_options(service, node, self.boundjid.bare, timeout=DEADLINE)
        return fields_of(answer["pubsub"]["options"]["options"])

    async def set_options(self, service, node, options):
        # The plugin's own function sends a request of type get (XEP-0060, section 6.3.5, says set).
        answer = self.make_iq_set(ito=service)
        answer["pubsub"]["options"]["node"] = node
        answer["pubsub"]["options"]["jid"] = self.boundjid.bare
        fields = {"FORM_TYPE": "http://jabber.org/protocol/pubsub#subscribe_options", **options}
        answer["pubsub"]["options"]["options"] = form_of(fields)
        await answer.send(timeout=DEADLINE)

    async def publish(self, service, node, id=None, payload=None, options=None):
        form = None
        if options is not None:
            form = form_of({"FORM_TYPE": "http://jabber.org/protocol/pubsub#publish-options", **options})
        element = ET.fromstring(payload) if payload is not None else None
        answer = await self.pubsub.publish(service, node, id=id, payload=element, options=form, timeout=DEADLINE)
        return answer["pubsub"]["publish"]["item"]["id"] or id

    async def retract(self, service, node, id):
        await self.pubsub.retract(service, node, id, notify=True, timeout=DEADLINE)

    async def items(self, service, node, ids=None, newest=None):
        answer = await self.pubsub.get_items(service, node, item_ids=ids, max_items=newest or "", timeout=DEADLINE)
        return items_of(answer["pubsub"]["items"])

    async def pages(self, service, node, size):
        """All items, in pages of this size (XEP-0059)."""
        pages = self.pubsub.get_items(service, node, max_items="", iterator=True)
        pages.amount = size
        return [items_of(page["pubsub"]["items"]) async for page in pages]

    async def affiliations(self, service, node=None):
        answer = await self.pubsub.get_affiliations(service, node, timeout=DEADLINE)
        return {one["node"] or node: one["affiliation"] for one in answer["pubsub"]["affiliations"]["substanzas"]}

    async def members(self, service, node):
        """Whom the owner sees affiliated with the node."""
        answer = await self.pubsub.get_node_affiliations(service, node, timeout=DEADLINE)
        return {str(one["jid"]): one["affiliation"] for one in answer["pubsub_owner"]["affiliations"]["substanzas"]}

    async def affiliate(self, service, node, affiliations):
        pairs = list(affiliations.items())
        await self.pubsub.modify_affiliations(service, node, pairs, timeout=DEADLINE)

    async def subscribers(self, service, node):
        """Whom the owner sees subscribed to the node."""
        answer = await self.pubsub.get_node_subscriptions(service, node, timeout=DEADLINE)
        return {str(one["jid"]): one["subscription"] for one in answer["pubsub_owner"]["subscriptions"]["substanzas"]}

    async def about(self, service, node=None):
        answer = await self["xep_0030"].get_info(jid=service, node=node, timeout=DEADLINE)
        identities = [[category, kind] for category, kind, *_ in answer["disco_info"]["identities"]]
        return {"identities": identities, "features": sorted(answer["disco_info"]["features"])}

    async def nodes(self, service):
        answer = await self.pubsub.get_nodes(jid=service, timeout=DEADLINE)
        return sorted(node for _, node, _ in answer["disco_items"]["items"])

    # Personal eventing: whose presence it sees, what it wants to hear of, and its own nodes.

    async def watch(self, jid):
        """Asks for a contact's presence. What the contact asks for in turn, the library grants by itself."""
        self.send_presence_subscription(pto=jid, ptype="subscribe")

    async def appear(self):
        """Becomes available, and shows what it wants to hear of by the hash of its capabilities."""
        await self["xep_0115"].update_caps(broadcast=False)
        self.send_presence()

    async def leave(self):
        """Becomes unavailable, and stays logged in."""
        self.send_presence(ptype="unavailable")

    async def want(self, node):
        self.eventing.add_interest(node)
        await self.appear()

    async def want_no_more(self, node):
        # The plugin's own function takes away a feature of another name: that of a list with the node in it.
        self["xep_0030"].del_feature(feature=node + "+notify")
        await self.appear()

    async def tell_contacts(self, node, id, payload, options=None):
        """Publishes to a node of its own, at its server."""
        form = None
        if options is not None:
            form = form_of({"FORM_TYPE": "http://jabber.org/protocol/pubsub#publish-options", **options})
        stanza = ElementBase(ET.fromstring(payload))
        await self.eventing.publish(stanza, node=node, id=id, options=form, timeout=DEADLINE)

    async def tune(self, **tune):
        await self["xep_0118"].publish_tune(**tune, timeout=DEADLINE)

    async def no_tune(self):
        await self["xep_0118"].stop(timeout=DEADLINE)

    async def nick(self, nick):
        await self["xep_0172"].publish_nick(nick, timeout=DEADLINE)

    async def avatar(self, **info):
        await self["xep_0084"].publish_avatar_metadata(info, timeout=DEADLINE)

    # Events.

    def items_event(self, message):
        items = message["pubsub_event"]["items"]
        told = {"items": [change_of(item) for item in items["substanzas"]]}
        # One at most: of several headers of one name the plugin makes nothing.
        if "SubID" in (headers := message["headers"]):
            told["subid"] = headers["SubID"]
        self.event_of(message, items["node"], told)

    def purge_event(self, message):
        self.event_of(message, message["pubsub_event"]["purge"]["node"], {"purged": True})

    def delete_event(self, message):
        self.event_of(message, message["pubsub_event"]["delete"]["node"], {"deleted": True})

    def config_event(self, message):
        self.event_of(message, message["pubsub_event"]["configuration"]["node"], {"configured": True})

    def subscription_event(self, message):
        subscription = message["pubsub_event"]["subscription"]
        told = {"subscription": subscription["subscription"], "jid": str(subscription["jid"])}
        self.event_of(message, subscription["node"], told)

    # What the plugins that build on personal eventing make of an item is told besides.

    def tune_event(self, message):
        tune = message["pubsub_event"]["items"]["item"]["tune"]
        self.plugin_event(message, {"tune": {part: tune[part] for part in ("artist", "title")}})

    def nick_event(self, message):
        self.plugin_event(message, {"nick": message["pubsub_event"]["items"]["item"]["nick"]["nick"]})

    def avatar_event(self, message):
        found = message["pubsub_event"]["items"]["item"]["avatar_metadata"]["substanzas"]
        self.plugin_event(message, {"avatar": [{part: info[part] for part in ("id", "type", "bytes")} for info in found]})

    def plugin_event(self, message, what):
        tell({"event": {"from": str(message["from"]), **what}})

    def event_of(self, message, node, what):
        tell({"event": {"from": str(message["from"]), "node": node, **what}})


REQUESTS = {
    "create", "configuration", "configure", "delete", "purge", "subscribe", "unsubscribe", "subscriptions", "options",
    "set_options", "publish", "retract", "items", "pages", "affiliations", "members", "affiliate", "subscribers", "about",
    "nodes", "watch", "appear", "leave", "want", "want_no_more", "tell_contacts", "tune", "no_tune", "nick", "avatar",
}


async def serve(account, request):
    number = request["id"]
    try:
        if request["do"] not in REQUESTS:
            raise ValueError("there is no request " + request["do"])
        tell({"id": number, "result": await getattr(account, request["do"])(**request["with"])})
    except IqError as refusal:
        error = refusal.iq["error"]
        told = {"type": error["type"], "condition": error["condition"], "pubsub": error["pubsub"]["condition"]}
        tell({"id": number, "error": told})
    except IqTimeout:
        tell({"id": number, "error": {"condition": "no answer within {} s".format(DEADLINE)}})


async def main(host, port, jid, password):
    loop = asyncio.get_running_loop()
    requests = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    account = Account(jid, password)
    account.connect((host, int(port)), disable_starttls=True)
    # In turn: what is asked first is done first.
    while line := await requests.readline():
        await serve(account, json.loads(line))
    await account.disconnect(wait=1)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
