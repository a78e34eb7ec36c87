// Not served: /swagger/ needs swagger-ui-bundle.js, and other packagings of the same code would be a tenth of the daemon.
