output "outputs" {
  description = "The stack's outputs, such as InboxBucketName and SecretArn."
  value       = aws_cloudformation_stack.autoload.outputs
}
