"""Runs the examples of docs/examples with the events on standard input.

Prints, as JSON, the rules' patterns and the function's code, and what each
example did with each event: the executions of the next state machine, and the
query that the function started.
"""

import io
import json
import sys
import time
from contextlib import redirect_stdout

import boto3
import yaml
from botocore.stub import Stubber
from moto import mock_aws
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import StateTaskServiceSfn

ACCOUNT, REGION = "123456789012", "us-east-1"


# States name the parameters of StartExecution in upper camel case, and moto passes
# them to boto3 as they are.
normalise = StateTaskServiceSfn._normalise_parameters


def lower_camel_case(self, parameters, *args, **kwargs):
    normalise(self, parameters, *args, **kwargs)
    for key in list(parameters):
        parameters[key[0].lower() + key[1:]] = parameters.pop(key)


StateTaskServiceSfn._normalise_parameters = lower_camel_case


class Template(yaml.SafeLoader):
    """Reads CloudFormation's tags: !Ref becomes {"Ref": ...}."""


def tagged(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    return {suffix: loader.construct_mapping(node, deep=True)}


Template.add_multi_constructor("!", tagged)


def resources(path):
    with open(path) as f:
        return yaml.load(f, Template)["Resources"]


def wait(client, execution):
    for _ in range(1200):
        found = client.describe_execution(executionArn=execution)
        if found["status"] != "RUNNING":
            return found
        time.sleep(0.05)
    raise TimeoutError(f"{execution} runs for a minute")


def state_machine(template, events):
    """Starts the state machine twice with each event, as a repeat does."""
    client = boto3.client("stepfunctions", region_name=REGION)
    role = f"arn:aws:iam::{ACCOUNT}:role/role"
    following = client.create_state_machine(
        name="next", roleArn=role, definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}))["stateMachineArn"]
    definition = json.dumps(template["StartOnce"]["Properties"]["Definition"]).replace("${StateMachineArn}", following)
    start = client.create_state_machine(name="start", roleArn=role, definition=definition)["stateMachineArn"]
    outcomes = []
    for event in events:
        for _ in range(2):
            execution = client.start_execution(stateMachineArn=start, name=f"event-{len(outcomes)}", input=json.dumps(event))["executionArn"]
            outcomes.append(wait(client, execution)["status"])
            for started in client.list_executions(stateMachineArn=following)["executions"]:
                wait(client, started["executionArn"])
    executions = [client.describe_execution(executionArn=e["executionArn"]) for e in client.list_executions(stateMachineArn=following)["executions"]]
    return {"outcomes": outcomes, "executions": [{"name": e["name"], "input": json.loads(e["input"])} for e in executions]}


def function(template, events):
    """Calls the function, whose client checks the parameters and sends nothing."""
    code = template["Function"]["Properties"]["Code"]["ZipFile"]
    names = {}
    exec(compile(code, "index.py", "exec"), names)
    queries = []
    for event in events:
        with Stubber(names["athena"]) as stub:
            expected = {"QueryString": "SELECT 1", "QueryExecutionContext": {"Database": "db"}, "WorkGroup": "primary",
                        "ClientRequestToken": event["detail"]["transitionId"]}
            stub.add_response("start_query_execution", {"QueryExecutionId": "started"}, expected)
            queries.append(names["handler"](event, None))
    return queries


def main():
    events = json.load(sys.stdin)
    machine, query = resources("docs/examples/start-state-machine.yaml"), resources("docs/examples/start-query.yaml")
    with redirect_stdout(io.StringIO()), mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        started = state_machine(machine, events)
        queries = function(query, events)
    json.dump({
        "patterns": [t["Rule"]["Properties"]["EventPattern"] for t in (machine, query)],
        "code": query["Function"]["Properties"]["Code"]["ZipFile"],
        "queries": queries, **started,
    }, sys.stdout)


main()
