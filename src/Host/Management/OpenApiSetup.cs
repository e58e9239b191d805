using Kvcached.Core.Contracts;

namespace Kvcached.Host.Management;

/// <summary>The OpenAPI document of the management HTTP.</summary>
internal static class OpenApiSetup
{
    public const string Path = "/openapi.json";

    private const string DocumentName = "v1";

    public static void AddManagementDocument(this IServiceCollection services)
    {
        services.ConfigureHttpJsonOptions(json =>
        {
            json.SerializerOptions.TypeInfoResolverChain.Insert(0, ManagementJsonContext.Default);
            json.SerializerOptions.TypeInfoResolverChain.Insert(1, ChangeJsonContext.Default);
        });
        services.AddOpenApi(DocumentName, document => document.AddDocumentTransformer((made, _, _) =>
        {
            made.Info.Title = "Kvcached management";
            made.Info.Description = "Any host answers for its whole domain. Changes need 'Authorization: Bearer TOKEN'; the host's ready line names the token's file.";
            made.Servers?.Clear();
            return Task.CompletedTask;
        }));
    }

    public static void MapManagementDocument(this IEndpointRouteBuilder routes) => routes.MapOpenApi(Path);

    /// <summary>Notes the problems that a route may answer with.</summary>
    public static RouteHandlerBuilder ProducesProblems(this RouteHandlerBuilder route, params ReadOnlySpan<int> statuses)
    {
        foreach (var status in statuses)
        {
            route.Produces<ProblemView>(status, "application/problem+json");
        }

        return route;
    }
}
