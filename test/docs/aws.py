"""A small AWS CLI for the commands in the documentation.

check: read recorded commands from standard input, and print what is wrong with
each as JSON. Names, values and required parameters are checked against
botocore's service models, which the real CLI is generated from.

run: execute one command against AWS_ENDPOINT_URL.

aws-cli itself is no dependency of the tests.
"""

import json
import os
import re
import sys

import botocore.session
import jmespath
from botocore import xform_name
from botocore.validate import ParamValidator

# Options of every command (AWS CLI v2, "Command line options").
GLOBAL = {"query": True, "output": True, "region": True, "profile": True, "cli-binary-format": True,
          "no-cli-pager": False, "no-paginate": False}
PAGINATION = {"max-items", "page-size", "starting-token"}
# Parameters that the CLI names differently than the model.
RENAMED = {("sns", "subscribe", "notification-endpoint"): "Endpoint"}
# Commands that are no operation of an API: their options, and how many
# positional arguments they take (AWS CLI v2 Command Reference).
HIGH_LEVEL = {
    ("logs", "tail"): (1, {"since", "follow", "format", "filter-pattern", "log-stream-names"}),
    ("cloudformation", "deploy"): (0, {"template-file", "stack-name", "s3-bucket", "s3-prefix", "kms-key-id", "force-upload",
                                       "parameter-overrides", "capabilities", "no-execute-changeset", "role-arn",
                                       "notification-arns", "disable-rollback", "no-disable-rollback",
                                       "fail-on-empty-changeset", "no-fail-on-empty-changeset", "tags"}),
    ("cloudformation", "package"): (0, {"template-file", "s3-bucket", "s3-prefix", "kms-key-id", "output-template-file",
                                        "use-json", "force-upload", "metadata"}),
}
# What the recorder answers in place of AWS.
PLACEHOLDER = "example"

session = botocore.session.get_session()
models = {}


class Wrong(Exception):
    pass


def service_model(name):
    if name not in models:
        if name not in session.get_available_services():
            raise Wrong(f"no service {name}")
        models[name] = session.get_service_model(name)
    return models[name]


def options_of(words):
    """Split words into positional arguments and values by option."""
    positional, options, current = [], {}, None
    for word in words:
        if re.match(r"--[a-z]", word):
            current = word[2:]
            if current in options:
                raise Wrong(f"--{current} is given twice")
            options[current] = []
        elif current is None:
            positional.append(word)
        else:
            options[current].append(word)
    return positional, options


class Command:
    """A parsed command. Parsing fails with Wrong."""

    def __init__(self, words):
        if len(words) < 2:
            raise Wrong("no service and operation")
        self.service, self.name = words[:2]
        self.waiter = self.operation = None
        self.params, self.common, self.paging = {}, {}, {}
        words = words[2:]
        if (self.service, self.name) in HIGH_LEVEL:
            self.high_level(words)
            return
        model = service_model(self.service)
        if self.name == "wait":
            waiters = session.get_waiter_model(self.service)
            names = {xform_name(n, "-"): n for n in waiters.waiter_names}
            if not words or words[0] not in names:
                raise Wrong(f"{self.service} has no waiter {words[:1]}")
            self.waiter, words = xform_name(names[words[0]]), words[1:]
            operation = waiters.get_waiter(names[self.waiter.replace("_", "-")]).operation
        else:
            names = {xform_name(n, "-"): n for n in model.operation_names}
            if self.name not in names:
                raise Wrong(f"{self.service} has no operation {self.name}")
            operation = names[self.name]
        self.operation = model.operation_model(operation)
        self.parse(words)

    def high_level(self, words):
        count, allowed = HIGH_LEVEL[self.service, self.name]
        positional, options = options_of(words)
        if len(positional) != count:
            raise Wrong(f"positional arguments {positional}, want {count}")
        for name in options:
            if name not in allowed and name not in GLOBAL:
                raise Wrong(f"{self.service} {self.name} has no option --{name}")

    def parse(self, words):
        shape = self.operation.input_shape
        members = {xform_name(n, "-"): n for n in shape.members} if shape else {}
        paginated = self.waiter is None and self.can_paginate()
        positional, options = options_of(words)
        outfile = self.operation.has_streaming_output
        for name, values in options.items():
            member, flag = RENAMED.get((self.service, self.name, name)) or members.get(name), True
            if member is None and name.startswith("no-"):
                member, flag = members.get(name[3:]), False
                if member and shape.members[member].type_name != "boolean":
                    member = None
            if member is not None:
                target = shape.members[member]
                if target.type_name == "boolean":
                    positional += values
                    self.params[member] = flag
                    continue
                if outfile and target.type_name != "list" and len(values) == 2:
                    positional.append(values.pop())
                self.params[member] = read(target, values, f"--{name}")
            elif name in GLOBAL or (name in PAGINATION and paginated):
                if GLOBAL.get(name, True):
                    if outfile and len(values) == 2:
                        positional.append(values.pop())
                    if len(values) != 1:
                        raise Wrong(f"--{name} has {len(values)} values, want 1")
                (self.paging if name in PAGINATION else self.common)[name] = values[0] if values else True
            else:
                raise Wrong(f"{self.service} {self.name} has no option --{name}")
        if len(positional) != (1 if outfile else 0):
            raise Wrong(f"positional arguments: {positional}")
        self.outfile = positional[0] if outfile else None
        if "query" in self.common:
            try:
                jmespath.compile(self.common["query"])
            except jmespath.exceptions.ParseError as e:
                raise Wrong(f"--query: {e}") from e
        if shape:
            report = ParamValidator().validate(self.params, shape)
            if report.has_errors():
                raise Wrong(report.generate_report())
            check_enums(shape, self.params)
        elif self.params:
            raise Wrong(f"{self.name} takes no parameters")

    def can_paginate(self):
        try:
            return self.operation.name in session.get_paginator_model(self.service)._paginator_config
        except botocore.exceptions.UnknownServiceError:
            return False


def check_enums(shape, value):
    if shape.type_name == "structure":
        for name, item in value.items():
            check_enums(shape.members[name], item)
    elif shape.type_name == "list":
        for item in value:
            check_enums(shape.member, item)
    elif shape.type_name == "map":
        for item in value.values():
            check_enums(shape.value, item)
    elif shape.type_name == "string" and shape.enum and value not in shape.enum and value != PLACEHOLDER:
        raise Wrong(f"{value} is none of {', '.join(shape.enum)}")


def read(shape, values, option):
    """Read an option's values as the CLI does."""
    kind = shape.type_name
    if not values:
        raise Wrong(f"{option} has no value")
    if kind == "list" and not (len(values) == 1 and values[0][:1] in "[" or values[0].startswith("file://")):
        return [read(shape.member, [v], option) for v in values]
    if len(values) > 1:
        raise Wrong(f"{option} has {len(values)} values, want 1: {values}")
    value = values[0]
    if value.startswith("file://"):
        path = value[len("file://"):]
        if path == "/dev/stdin":
            value = "standard input" if RECORDED else sys.stdin.read()
        else:
            with open(path) as f:
                value = f.read()
    if kind in ("structure", "map", "list"):
        if value.lstrip()[:1] in ("{", "["):
            try:
                return json.loads(value)
            except json.JSONDecodeError as e:
                raise Wrong(f"{option} is no JSON: {e}") from e
        return Shorthand(shape, value, option).read()
    return scalar(shape, value, option)


def scalar(shape, value, option):
    kind = shape.type_name
    try:
        if kind in ("integer", "long"):
            return int(value)
        if kind in ("float", "double"):
            return float(value)
    except ValueError:
        raise Wrong(f"{option} is no number: {value}") from None
    if kind == "boolean":
        if value not in ("true", "false"):
            raise Wrong(f"{option} is neither true nor false: {value}")
        return value == "true"
    if kind == "blob":
        return value.encode()
    return value


class Shorthand:
    """The CLI's shorthand: Key=value,Other="quoted, value"."""

    def __init__(self, shape, text, option):
        self.shape, self.text, self.option = shape, text, option

    def read(self):
        result, rest = {}, self.text
        while rest:
            match = re.match(r'([A-Za-z0-9_.:-]+)=("(?:\\.|[^"\\])*"|[^,"\[{]*)(?:,|$)', rest)
            if not match:
                raise Wrong(f"{self.option} is no shorthand: {self.text}")
            key, value = match[1], match[2]
            if value.startswith('"'):
                value = re.sub(r"\\(.)", r"\1", value[1:-1])
            if self.shape.type_name == "map":
                member = self.shape.value
            elif key in self.shape.members:
                member = self.shape.members[key]
            else:
                raise Wrong(f"{self.option} has no key {key}: it has {', '.join(self.shape.members)}")
            result[key] = scalar(member, value, f"{self.option} {key}")
            rest = rest[match.end():]
        return result


def text(value):
    """The CLI's text output, for what the documentation's queries return."""
    if isinstance(value, list):
        if any(isinstance(v, list) for v in value):
            return "\n".join(text(v) for v in value)
        return "\t".join(text(v) for v in value)
    if value is None:
        return "None"
    if isinstance(value, dict):
        return "\t".join(text(v) for _, v in sorted(value.items()))
    return str(value)


def run(command):
    if command.operation is None:
        raise Wrong(f"{command.service} {command.name} does not run here")
    client = session.create_client(command.service)
    method = xform_name(command.operation.name)
    if command.waiter:
        client.get_waiter(command.waiter).wait(**command.params, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        return
    if client.can_paginate(method):
        config = {"MaxItems": int(command.paging["max-items"])} if "max-items" in command.paging else {}
        result = client.get_paginator(method).paginate(**command.params, PaginationConfig=config).build_full_result()
    else:
        result = getattr(client, method)(**command.params)
    result.pop("ResponseMetadata", None)
    if command.outfile:
        stream = next(v for v in result.values() if hasattr(v, "read"))
        with open(command.outfile, "wb") as f:
            f.write(stream.read())
        result = {k: v for k, v in result.items() if not hasattr(v, "read")}
    if "query" in command.common:
        result = jmespath.search(command.common["query"], result)
    if command.common.get("output") == "text":
        print(text(result))
    elif result:
        print(json.dumps(result, default=str))


def check(recorded):
    """Recorded commands are NUL-separated: place, number of words, words."""
    fields, found = recorded.split("\0")[:-1], []
    while fields:
        place, count = fields[0], int(fields[1])
        words, fields = fields[2:2 + count], fields[2 + count:]
        problem = ""
        try:
            Command(words)
        except (Wrong, OSError) as e:
            problem = str(e)
        found.append({"place": place, "words": words, "problem": problem})
    json.dump(found, sys.stdout)


RECORDED = sys.argv[1] == "check"
if __name__ == "__main__":
    if RECORDED:
        check(sys.stdin.read())
    else:
        try:
            run(Command(sys.argv[2:]))
        except Exception as e:  # as the CLI: one line, and a status
            sys.exit(f"aws: {type(e).__name__}: {e}")
