# Autoload for Anaplan as a CloudFormation stack, from the files that `make package` writes to dist/.
# The template stays the only description of what is deployed.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

resource "aws_s3_object" "code" {
  bucket      = var.code_bucket
  key         = basename(var.zip)
  source      = var.zip
  source_hash = filesha256(var.zip)
}

resource "aws_s3_object" "template" {
  bucket = var.code_bucket
  # Another template gets another key, because Terraform compares only the URL.
  key         = "${filesha256(var.template)}/${basename(var.template)}"
  source      = var.template
  source_hash = filesha256(var.template)
}

resource "aws_cloudformation_stack" "autoload" {
  name         = var.stack_name
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
  template_url = "https://${var.code_bucket}.s3.${data.aws_region.here.name}.amazonaws.com/${aws_s3_object.template.key}"

  parameters = merge(var.parameters, {
    CodeBucket = var.code_bucket
    CodeKey    = aws_s3_object.code.key
  })
}

data "aws_region" "here" {}
