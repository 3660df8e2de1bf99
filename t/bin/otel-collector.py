# otel-collector.py PORT FILE: receives spans of OpenTelemetry, and appends a line
# with a JSON object for each of them to the file.

import json
import sys
from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc


class Collector(trace_service_pb2_grpc.TraceServiceServicer):

    def Export(self, request, context):
        with open(sys.argv[2], "a") as out:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        out.write(json.dumps(members(span)) + "\n")

        return trace_service_pb2.ExportTraceServiceResponse()


def members(span):
    attributes = {a.key: a.value.string_value for a in span.attributes}

    return {"name": span.name, "trace": span.trace_id.hex(),
            "span": span.span_id.hex(), "parent": span.parent_span_id.hex(),
            "attributes": attributes}


server = grpc.server(futures.ThreadPoolExecutor(1))
trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Collector(), server)
server.add_insecure_port("127.0.0.1:" + sys.argv[1])
server.start()
server.wait_for_termination()
