variable "stack_name" {
  description = "Name of the stack, of at most 64 characters."
  type        = string
  default     = "anaplan-autoload"

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,63}$", var.stack_name))
    error_message = "stack_name must begin with a letter and have at most 64 letters, digits and hyphens."
  }
}

variable "code_bucket" {
  description = "Name of a bucket of yours in the stack's Region; the zip and the template are put there."
  type        = string
}

variable "zip" {
  description = "Path of the function's zip in dist/."
  type        = string
}

variable "template" {
  description = "Path of the packaged template in dist/."
  type        = string
}

variable "parameters" {
  description = "The template's other parameters, such as { AlertEmail = \"finance@example.com\" }."
  type        = map(string)
  default     = {}
}
