"""`python deploy/roles.py BUCKET`: create the two roles that cluster.yaml names, once per AWS account.

The role of the head permits starting and terminating instances of this project with the role of the workers; both roles
permit access to the bucket.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError

_TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def bucket_policy(bucket: str) -> list[dict[str, Any]]:
    """Return the statements that permit reading and writing one bucket."""
    return [
        {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": f"arn:aws:s3:::{bucket}"},
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            "Resource": f"arn:aws:s3:::{bucket}/*",
        },
    ]


def head_policy(account: str) -> list[dict[str, Any]]:
    """Return the statements that permit starting workers, and terminating instances with the tag of this project."""
    return [
        {"Effect": "Allow", "Action": ["ec2:Describe*", "ec2:RunInstances"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": "*",
            "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        },
        {
            "Effect": "Allow",
            "Action": ["ec2:TerminateInstances", "ec2:CreateTags"],
            "Resource": "*",
            "Condition": {"StringEquals": {"ec2:ResourceTag/project": "soundsweep"}},
        },
        {
            "Effect": "Allow",
            "Action": "ssm:GetParameters",
            "Resource": "arn:aws:ssm:*::parameter/aws/service/deeplearning/*",
        },
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": f"arn:aws:iam::{account}:role/soundsweep-worker"},
    ]


def ensure_roles(name: str, statements: list[dict[str, Any]]) -> None:
    """Create or update a role and its instance profile."""
    iam = boto3.client("iam")
    _ignore_existing(lambda: iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(_TRUST)))
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=policy)
    _ignore_existing(lambda: iam.create_instance_profile(InstanceProfileName=name))
    if not iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]:
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


def _ignore_existing(create: Callable[[], object]) -> None:
    try:
        create()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("EntityAlreadyExists", "InvalidInput"):
            raise


def main() -> int:
    """Run the command and return its exit status."""
    if len(sys.argv) != 2 or "/" in sys.argv[1] or ":" in sys.argv[1]:
        print("error: the only argument is the name of the bucket: python deploy/roles.py my-bucket", file=sys.stderr)
        return 2
    bucket = sys.argv[1]
    account = boto3.client("sts").get_caller_identity()["Account"]
    ensure_roles("soundsweep-head", head_policy(account) + bucket_policy(bucket))
    ensure_roles("soundsweep-worker", bucket_policy(bucket))
    # AWS starts spot instances with a role that does not exist in an account without earlier spot requests.
    _ignore_existing(lambda: boto3.client("iam").create_service_linked_role(AWSServiceName="spot.amazonaws.com"))
    print(f"soundsweep-head and soundsweep-worker have access to {bucket}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
