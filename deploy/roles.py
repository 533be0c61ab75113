"""`python deploy/roles.py BUCKET`: the two roles that cluster.yaml names, once for an AWS account.

The head may start and end this project's instances and hand them the workers' role; both may use the bucket.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError

_TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def bucket_policy(bucket: str) -> list[dict[str, Any]]:
    """Reading and writing one bucket."""
    return [
        {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": f"arn:aws:s3:::{bucket}"},
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            "Resource": f"arn:aws:s3:::{bucket}/*",
        },
    ]


def head_policy(account: str) -> list[dict[str, Any]]:
    """Starting workers, and ending what carries this project's tag."""
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
    """Create a role and the profile that instances carry it by, or bring them up to date."""
    iam = boto3.client("iam")
    _ignore_existing(lambda: iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(_TRUST)))
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=policy)
    _ignore_existing(lambda: iam.create_instance_profile(InstanceProfileName=name))
    if not iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]:
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


def _ignore_existing(create: Any) -> None:
    try:
        create()
    except ClientError as error:
        there = error.response["Error"]["Code"] in ("EntityAlreadyExists", "InvalidInput")
        if not there:
            raise


def main() -> int:
    """Run the command; returns its exit status."""
    if len(sys.argv) != 2 or "/" in sys.argv[1] or ":" in sys.argv[1]:
        print("error: name the bucket, and nothing else: python deploy/roles.py my-bucket", file=sys.stderr)
        return 2
    bucket = sys.argv[1]
    account = boto3.client("sts").get_caller_identity()["Account"]
    ensure_roles("soundsweep-head", head_policy(account) + bucket_policy(bucket))
    ensure_roles("soundsweep-worker", bucket_policy(bucket))
    # An account that never asked for spot instances has not got the role that AWS starts them with.
    _ignore_existing(lambda: boto3.client("iam").create_service_linked_role(AWSServiceName="spot.amazonaws.com"))
    print(f"soundsweep-head and soundsweep-worker may use {bucket}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
