"""Runs the examples of docs/examples with the events on standard input.

Prints, as JSON, the rules' patterns and the function's code, which events each
pattern matches, and what each example does with those: the executions of the next
state machine, and the function's requests.
"""

import io
import json
import os
import sys
import time
from contextlib import redirect_stdout

import boto3
import yaml
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto import mock_aws
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_sfn

ACCOUNT, REGION = "123456789012", "us-east-1"


class Next:
    """Stands for Step Functions as the state machine calls it: moto cannot start an
    execution from within another one. A name of an execution that has finished is
    refused (Step Functions API Reference, StartExecution)."""

    def __init__(self):
        self.executions = []

    def start_execution(self, StateMachineArn, Name, Input):
        if Name in [e["name"] for e in self.executions]:
            raise ClientError({"Error": {"Code": "ExecutionAlreadyExists", "Message": f"Execution Already Exists: '{Name}'"},
                               "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "r"}}, "StartExecution")
        self.executions.append({"machine": StateMachineArn, "name": Name, "input": json.loads(Input)})
        return {"executionArn": StateMachineArn.replace(":stateMachine:", ":execution:") + ":" + Name, "startDate": "2026-11-23T12:00:00Z"}


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


def pattern_of(template, workflow):
    text = json.dumps(template["Rule"]["Properties"]["EventPattern"])
    return json.loads(text.replace('{"Ref": "WorkflowName"}', json.dumps(workflow)))


def matched(pattern, events):
    """Puts each event on a bus whose rule has the pattern and a queue as target."""
    bus, sqs = boto3.client("events", region_name=REGION), boto3.client("sqs", region_name=REGION)
    queue = sqs.create_queue(QueueName="matched")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus.put_rule(Name="rule", EventPattern=json.dumps(pattern))
    bus.put_targets(Rule="rule", Targets=[{"Id": "1", "Arn": arn}])
    found = []
    for event in events:
        bus.put_events(Entries=[{"Source": event["source"], "DetailType": event["detail-type"], "Resources": event["resources"],
                                 "Detail": json.dumps(event["detail"])}])
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
    bus.remove_targets(Rule="rule", Ids=["1"])
    bus.delete_rule(Name="rule")
    sqs.delete_queue(QueueUrl=queue)
    return found


def state_machine(template, events):
    """Starts the state machine twice with each event, as a repeat does."""
    client = boto3.client("stepfunctions", region_name=REGION)
    role = f"arn:aws:iam::{ACCOUNT}:role/role"
    next_machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:next"
    definition = json.dumps(template["StartOnce"]["Properties"]["Definition"]).replace("${StateMachineArn}", next_machine)
    service, outcomes = Next(), []
    state_task_service_sfn.boto_client_for = lambda **_: service
    for event in events:
        for _ in range(2):
            # moto cannot copy state machines that have run, as it does at each start.
            start = client.create_state_machine(name=f"start-{len(outcomes)}", roleArn=role, definition=definition)["stateMachineArn"]
            execution = client.start_execution(stateMachineArn=start, name=f"event-{len(outcomes)}", input=json.dumps(event))["executionArn"]
            outcomes.append(wait(client, execution)["status"])
            client.delete_state_machine(stateMachineArn=start)
    return {"outcomes": outcomes, "executions": service.executions}


def function(template, events):
    """Calls the function with each event, and returns its requests to Athena."""
    code, names, requests = template["Function"]["Properties"]["Code"]["ZipFile"], {}, []
    exec(compile(code, "index.py", "exec"), names)
    record = lambda params, **_: requests.append(dict(params))
    names["athena"].meta.events.register("provide-client-params.athena.StartQueryExecution", record)
    for event in events:
        with Stubber(names["athena"]) as stub:
            stub.add_response("start_query_execution", {"QueryExecutionId": "started"})
            names["handler"](event, None)
    return requests


def main():
    given = json.load(sys.stdin)
    os.environ.update(QUERY="SELECT 1", DATABASE="db", WORKGROUP="primary", AWS_DEFAULT_REGION=REGION)
    machine, query = resources("docs/examples/start-state-machine.yaml"), resources("docs/examples/start-query.yaml")
    patterns = [pattern_of(template, given["workflow"]) for template in (machine, query)]
    with redirect_stdout(io.StringIO()), mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        events = [matched(pattern, given["events"]) for pattern in patterns]
        started = state_machine(machine, events[0])
        queries = function(query, events[1])
    json.dump({
        "patterns": patterns,
        "matched": [[event["detail"]["transitionId"] for event in found] for found in events],
        "code": query["Function"]["Properties"]["Code"]["ZipFile"],
        "queries": queries, **started,
    }, sys.stdout)


main()
