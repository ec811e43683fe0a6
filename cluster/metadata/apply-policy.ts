/**
 * Policies, operator policies and parameters: named values of a vhost (or of
 * the cluster, for parameters of vhost ''). What a policy does to a queue is
 * worked out in `policy-match`.
 */
import { vhostText } from './apply-vhost.ts';
import type { CommandReply } from './commands.ts';
import { type ParameterDefinition, type PolicyDefinition, rowKey } from './definitions.ts';
import type { MetadataState } from './state.ts';

export function putPolicy(
  state: MetadataState,
  policy: PolicyDefinition,
  isOperator: boolean,
  index: number,
): CommandReply {
  if (state.get('vhosts', policy.vhost) === null) return { type: 'not-found', what: vhostText(policy.vhost) };
  const table = isOperator ? 'operatorPolicies' : 'policies';
  const isNew = state.get(table, rowKey(policy.vhost, policy.name)) === null;
  state.put(table, policy);
  return isNew ? { type: 'created', index } : { type: 'ok' };
}

export function deletePolicy(state: MetadataState, vhost: string, name: string, isOperator: boolean): CommandReply {
  const table = isOperator ? 'operatorPolicies' : 'policies';
  const policy = state.get(table, rowKey(vhost, name));
  if (policy === null) {
    return { type: 'not-found', what: `${isOperator ? 'operator policy' : 'policy'} '${name}' in ${vhostText(vhost)}` };
  }
  state.remove(table, policy);
  return { type: 'ok' };
}

export function putParameter(state: MetadataState, parameter: ParameterDefinition, index: number): CommandReply {
  if (parameter.vhost !== '' && state.get('vhosts', parameter.vhost) === null) {
    return { type: 'not-found', what: vhostText(parameter.vhost) };
  }
  const isNew = state.get('parameters', parameterKey(parameter)) === null;
  state.put('parameters', parameter);
  return isNew ? { type: 'created', index } : { type: 'ok' };
}

export function deleteParameter(state: MetadataState, component: string, vhost: string, name: string): CommandReply {
  const parameter = state.get('parameters', parameterKey({ component, vhost, name }));
  if (parameter === null) {
    return { type: 'not-found', what: `parameter '${name}' of component '${component}' in ${vhostText(vhost)}` };
  }
  state.remove('parameters', parameter);
  return { type: 'ok' };
}

function parameterKey(parameter: Omit<ParameterDefinition, 'value'>): string {
  return rowKey(parameter.component, parameter.vhost, parameter.name);
}
