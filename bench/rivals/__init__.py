"""What people write instead of Autoload, for comparison: two Lambda functions, and the Lambda that invokes them.

`sdk_handler` uses the published anaplan-sdk, `script_handler` boto3 and requests. Both are written as in tutorials: an
S3 event invokes the function, which starts the integration, sleeps until the run has ended, and tells an SNS topic.
They do more than many: the log-in is in Secrets Manager, requests have timeouts, and errors are told and raised.
"""
