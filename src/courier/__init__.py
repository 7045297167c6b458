"""Audience Courier: customer profiles in Parquet → audience files that an email platform accepts, on S3 or SFTP."""
