"""Translates a SAM template into CloudFormation, as AWS does on deploy.

Argument: the region, which decides the partition. Standard input, JSON:
{"template": text of template.yaml, "codeURIs": {logical id: "s3://bucket/key"}}.
Standard output: CloudFormation JSON.
"""

import json
import os
import sys

region = sys.argv[1]
# Before the translator is imported: it asks boto3 for the region, and boto3
# must not look anywhere else than here.
os.environ.update(
    AWS_DEFAULT_REGION=region,
    AWS_REGION=region,
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_EC2_METADATA_DISABLED="true",
)
os.environ.pop("AWS_PROFILE", None)

from samtranslator.model.exceptions import InvalidDocumentException  # noqa: E402
from samtranslator.parser.parser import Parser  # noqa: E402
from samtranslator.translator.translator import Translator  # noqa: E402
from samtranslator.yaml_helper import yaml_parse  # noqa: E402

request = json.load(sys.stdin)
sam = yaml_parse(request["template"])
code_uris = request["codeURIs"] or {}

# What `sam build` and `sam package` do before AWS sees the template.
for logical_id, resource in sam["Resources"].items():
    if resource["Type"] == "AWS::Serverless::Function":
        uploaded = resource["Properties"].get("CodeUri", "")
        if not uploaded.startswith("s3://"):
            uploaded = f"s3://code/{logical_id}.zip"
        resource["Properties"]["CodeUri"] = code_uris.pop(logical_id, uploaded)
        resource.pop("Metadata", None)
if code_uris:
    sys.exit(f"no such function in the template: {', '.join(sorted(code_uris))}")

try:
    cloudformation = Translator({}, Parser()).translate(sam, {})
except InvalidDocumentException as error:
    sys.exit("\n".join(cause.message for cause in error.causes))
json.dump(cloudformation, sys.stdout)
