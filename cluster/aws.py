"""Makes what ray_cluster.yaml needs in an AWS account: a bucket, and roles for head and workers.

    python cluster/aws.py BUCKET [--region us-west-2]

Run again, it changes nothing. The workers may read and write the bucket and nothing else; the head
may also start and stop machines, and give workers their role.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import boto3

HEAD, WORKER = "gatelab-head", "gatelab-worker"
EC2 = "arn:aws:iam::aws:policy/AmazonEC2FullAccess"
"""What Ray's launcher gives a head by default."""


def main() -> None:
    """Make what is missing, and say how to go on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bucket")
    parser.add_argument("--region", default="us-west-2")
    words = parser.parse_args()
    make_bucket(words.bucket, words.region)
    worker = make_role(WORKER, [use(words.bucket)])
    make_role(HEAD, [use(words.bucket), *launch(worker)], [EC2])
    print("Roles and bucket are there. In ~/.gatelab/settings.env, with mode 600:\n")
    print(f"GATELAB_STORAGE=s3://{words.bucket}/gatelab\nAWS_DEFAULT_REGION={words.region}")


def make_bucket(bucket: str, region: str) -> None:
    """Make a bucket that is nobody else's business; S3 encrypts what lies there."""
    s3 = boto3.client("s3", region_name=region)
    place: dict[str, Any] = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        s3.create_bucket(Bucket=bucket, **(place if region != "us-east-1" else {}))
    except s3.exceptions.BucketAlreadyOwnedByYou:
        pass
    closed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(closed, True)
    )


def make_role(name: str, statements: list[dict[str, Any]], managed: list[str] | None = None) -> str:
    """Make a role for machines, with a profile of the same name; return the role's ARN."""
    iam = boto3.client("iam")
    trust = {"Principal": {"Service": "ec2.amazonaws.com"}, **allow("sts:AssumeRole")}
    try:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy([trust]))
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    except iam.exceptions.EntityAlreadyExistsException:
        pass
    iam.put_role_policy(RoleName=name, PolicyName="gatelab", PolicyDocument=policy(statements))
    for arn in managed or []:
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    return str(iam.get_role(RoleName=name)["Role"]["Arn"])


def use(bucket: str) -> dict[str, Any]:
    """Return the statement that lets one use a bucket."""
    actions = ["ListBucket", "GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload"]
    places = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return {**allow(*(f"s3:{action}" for action in actions)), "Resource": places}


def launch(worker: str) -> list[dict[str, Any]]:
    """Return what a head needs beside EC2 to launch workers of that role."""
    images = "arn:aws:ssm:*::parameter/aws/service/deeplearning/*"
    return [
        {**allow("iam:PassRole"), "Resource": worker},
        {**allow("ssm:GetParameters"), "Resource": images},
    ]


def allow(*actions: str) -> dict[str, Any]:
    """Return the beginning of a statement."""
    return {"Effect": "Allow", "Action": list(actions)}


def policy(statements: list[dict[str, Any]]) -> str:
    """Return a policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


if __name__ == "__main__":
    main()
